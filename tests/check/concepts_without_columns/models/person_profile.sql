{{ config(materialized='profile', entity='person') }}
SELECT customer, sum(amount) AS amount
FROM {{ ref('orders') }}
GROUP BY customer
