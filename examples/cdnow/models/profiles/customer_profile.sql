{{ config(materialized='profile', entity='customer') }}

{#- In the literature a customer's frequency counts the days with a repeat purchase, recency is the age
    of the customer at the last one, and T the age at the end of the observation. -#}
WITH totals AS (
    SELECT
        canonical_id,
        min(customer_id) AS customer_id,
        count(*) AS purchases,
        sum(quantity) AS quantity,
        sum(amount) AS amount,
        count(DISTINCT ordered_at) - 1 AS repeat_days,
        min(ordered_at) AS first_purchase_at,
        max(ordered_at) AS last_purchase_at
    FROM {{ ref('purchases') }}
    GROUP BY canonical_id
)

SELECT
    t.canonical_id,
    t.customer_id,
    t.purchases,
    t.quantity,
    t.amount,
    t.repeat_days,
    {{ kinfold.days_between('t.first_purchase_at', 't.last_purchase_at') }} AS recency_age_days,
    {{ kinfold.days_between('t.first_purchase_at', kinfold.as_of()) }} - 1 AS age_days,
    t.first_purchase_at,
    t.last_purchase_at,
    f.recency_score,
    f.frequency_score,
    f.monetary_score,
    f.rfm_class
FROM totals AS t
INNER JOIN {{ ref('rfm') }} AS f ON f.canonical_id = t.canonical_id
