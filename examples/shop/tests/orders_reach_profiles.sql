-- What the profiles say was bought is what was bought.
SELECT
    profiles.amount AS amount_of_profiles,
    orders.amount AS amount_of_orders
FROM (SELECT sum(lifetime_value) AS amount FROM {{ ref('person_profile') }}) AS profiles
CROSS JOIN (
    SELECT sum(amount) AS amount FROM {{ ref('stg_orders') }} WHERE status = 'completed'
) AS orders
WHERE profiles.amount IS DISTINCT FROM orders.amount
