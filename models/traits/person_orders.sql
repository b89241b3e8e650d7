{#- Orders with the person who placed them. -#}
{{ config(materialized='table', enabled=has_events()) }}
SELECT
    r.canonical_id,
    o.order_id,
    o.message_id,
    o.occurred_at AS ordered_at,
    coalesce(o.amount, 0) AS amount,
    o.currency,
    o.coupon
FROM {{ ref('stg_orders') }} AS o
INNER JOIN {{ ref('person__records') }} AS r
    ON r.source = 'orders' AND r.record_id = o.message_id
