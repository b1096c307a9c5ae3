"""Where work is seen: BackgroundTasks, tasks set on a Response, and the ASGI call that settles them.

``naming`` says what a task is called, ``background`` books tasks, ``asgi`` settles a request,
``process`` holds what belongs to the whole process. Hooks write the ledger and nothing else.
"""
