-- Orders that were kept and paid, with the person who placed them.
SELECT
    r.canonical_id,
    o.order_id,
    o.ordered_at,
    o.category,
    o.items,
    o.amount
FROM {{ ref('stg_orders') }} AS o
INNER JOIN {{ ref('person__records') }} AS r
    ON r.source = 'orders' AND r.record_id = o.order_id
WHERE o.status = 'completed'
