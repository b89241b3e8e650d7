WITH totals AS (
    SELECT
        canonical_id,
        count(*) AS orders,
        count(*) FILTER (WHERE ordered_at >= {{ kinfold.as_of() }} - INTERVAL '90 days') AS orders_90d,
        sum(amount) AS lifetime_value,
        CAST(avg(amount) AS DECIMAL(12, 2)) AS average_order_value,
        min(ordered_at) AS first_order_at,
        max(ordered_at) AS last_order_at
    FROM {{ ref('orders') }}
    GROUP BY canonical_id
),

categories AS (
    SELECT
        canonical_id,
        category
    FROM {{ ref('orders') }}
    GROUP BY canonical_id, category
    QUALIFY row_number() OVER (
        PARTITION BY canonical_id ORDER BY count(*) DESC, max(ordered_at) DESC, category
    ) = 1
)

SELECT
    t.canonical_id,
    t.orders,
    t.orders_90d,
    t.lifetime_value,
    t.average_order_value,
    t.first_order_at,
    t.last_order_at,
    c.category AS favourite_category
FROM totals AS t
INNER JOIN categories AS c ON c.canonical_id = t.canonical_id
