{#- Recency, frequency and monetary value of every buyer, and the class of each. -#}
{{ config(materialized='table', enabled=var('orders_model', none) is not none) }}
{%- if var('orders_model', none) is not none %}

WITH totals AS (
    SELECT
        canonical_id,
        count(*) AS frequency,
        sum(amount) AS monetary,
        max(ordered_at) AS last_order_at
    FROM {{ ref(var('orders_model')) }}
    GROUP BY canonical_id
),

measured AS (
    SELECT
        canonical_id,
        last_order_at,
        {{ days_between('last_order_at', as_of()) }} AS recency_days,
        frequency,
        monetary
    FROM totals
),

scored AS (
    SELECT
        canonical_id,
        last_order_at,
        recency_days,
        frequency,
        monetary,
        {{ score('recency_days', var('rfm_recency_days'), highest_first=true) }} AS recency_score,
        {{ score('frequency', var('rfm_frequency')) }} AS frequency_score,
        {{ score('monetary', var('rfm_monetary')) }} AS monetary_score
    FROM measured
)

SELECT
    canonical_id,
    last_order_at,
    recency_days,
    frequency,
    monetary,
    recency_score,
    frequency_score,
    monetary_score,
    CASE
        WHEN recency_score >= 4 AND frequency_score >= 4 THEN 'champion'
        WHEN recency_score >= 3 AND frequency_score >= 3 THEN 'loyal'
        WHEN recency_score >= 4 AND frequency_score = 1 THEN 'new'
        WHEN recency_score >= 3 THEN 'promising'
        WHEN frequency_score >= 3 OR monetary_score >= 4 THEN 'at_risk'
        ELSE 'dormant'
    END AS rfm_class
FROM scored
{%- endif %}
