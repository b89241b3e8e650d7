{{ config(description=doc('order')) }}
SELECT 1 AS order_id
