SELECT 7 AS customer_id, 1 AS order_id
