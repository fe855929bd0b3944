"""Every event and topic of Faregate: what a service may say to the others."""
