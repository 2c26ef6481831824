"""`python -m autovmap`: see `_cli`."""

from autovmap._cli import main

raise SystemExit(main())
