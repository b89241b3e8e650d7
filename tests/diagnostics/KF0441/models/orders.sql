SELECT 7 AS order_id
