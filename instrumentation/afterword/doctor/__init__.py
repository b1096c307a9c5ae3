"""What is wrong, told to a person: with this machine's installation, and in `doctor.app` with an application's code."""
