SELECT 7 AS customer_id, 'ann@example.com' AS email, 'Ann' AS first_name
