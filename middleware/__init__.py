"""The doors of the queue engine, as filters of the Swift proxy."""
