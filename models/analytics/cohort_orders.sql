{#- Orders of each monthly cohort of first buyers, by months since the first order. -#}
{{ config(materialized='table', enabled=has_orders()) }}
{%- if has_orders() %}

WITH orders AS (
    SELECT
        canonical_id,
        amount,
        ordered_at,
        min(ordered_at) OVER (PARTITION BY canonical_id) AS first_order_at
    FROM {{ ref(orders_model()) }}
)

SELECT
    CAST(date_trunc('month', first_order_at) AS DATE) AS cohort_month,
    {{ month_number('ordered_at') }} - {{ month_number('first_order_at') }} AS months_since_first,
    count(DISTINCT canonical_id) AS buyers,
    count(*) AS orders,
    sum(amount) AS revenue
FROM orders
GROUP BY 1, 2
{%- endif %}
