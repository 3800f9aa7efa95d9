"""HTTP: the routes in `application`, one handler a resource, the limits in `connections`."""
