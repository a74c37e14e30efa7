"""What follows what, and when: connections, periods, the end, and where an upper envelope is needed."""
