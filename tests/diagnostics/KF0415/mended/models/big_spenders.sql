{{ config(materialized='segment', entity='person') }}
SELECT customer_id AS canonical_id
FROM {{ ref('orders') }}
WHERE amount > 100
