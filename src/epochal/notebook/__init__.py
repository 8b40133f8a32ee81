"""What people see of a run in a notebook: tables and curves in a cell, pictures, and the report inside the page."""
