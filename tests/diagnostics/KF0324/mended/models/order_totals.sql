{{ config(alias='totals_of_orders') }}
SELECT sum(amount) AS total FROM {{ ref('orders') }}
