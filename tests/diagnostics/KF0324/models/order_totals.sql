{{ config(alias='totals') }}
SELECT sum(amount) AS total FROM {{ ref('orders') }}
