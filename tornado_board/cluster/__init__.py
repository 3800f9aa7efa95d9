"""Who publishes, and how the processes of one deployment hear of each other."""
