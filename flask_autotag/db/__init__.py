"""Tables, transactions, migrations, and SQL that differs between the databases."""
