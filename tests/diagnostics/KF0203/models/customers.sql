SELECT 7 AS customer_id
