pytest_plugins = ["sandbox.testing", "sandbox.fixtures_outside", "sandbox.fixtures_stripe"]
