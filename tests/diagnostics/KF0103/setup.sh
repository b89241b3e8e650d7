# Saved as Latin-1: the ö is one byte.
printf "SELECT 'K\366ln' AS city\n" > models/stores.sql
