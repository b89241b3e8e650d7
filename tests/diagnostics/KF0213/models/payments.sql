SELECT 1 AS customer, 2.5 AS amount
