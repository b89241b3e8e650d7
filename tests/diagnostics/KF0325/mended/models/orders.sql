{{ config(description=doc('orders')) }}
SELECT 1 AS order_id
