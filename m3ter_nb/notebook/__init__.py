"""What IPython sees: the magics, and what each of them does with logins, calls and the sandbox of a kernel."""
