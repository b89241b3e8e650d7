-- What the profiles say was bought is what was bought before the clock.
{{ config(enabled=has_events()) }}
SELECT
    profiles.amount AS amount_of_profiles,
    orders.amount AS amount_of_orders
FROM (SELECT coalesce(sum(lifetime_value), 0) AS amount FROM {{ ref('person_profile') }}) AS profiles
CROSS JOIN (
    SELECT coalesce(sum(amount), 0) AS amount FROM {{ ref('person_orders') }} WHERE ordered_at < {{ as_of() }}
) AS orders
WHERE profiles.amount <> orders.amount
