"""The interfaces of other systems over autovmap's own, a module each."""
