"""Make the chapters of the book tests; see `bookkit.pytest_plugin`."""

pytest_plugins = ["bookkit.pytest_plugin"]
