"""Making it happen: plan, function and arrays become a result."""
