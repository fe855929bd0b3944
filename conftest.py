pytest_plugins = ["sandbox.testing", "sandbox.work_order", "sandbox.fixtures_outside", "sandbox.fixtures_stripe"]
