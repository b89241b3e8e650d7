{#- Recency, frequency and monetary value of every buyer, and the class of each. The limits of the scores are
    those of the variables, or, where the relation `rfm_cut_points` has them, what is stored there. -#}
{{ config(materialized='table', enabled=has_orders()) }}
{%- if has_orders() %}
{%- set stored = var('rfm_cut_points') %}
{%- set limits = {} %}
{%- for measure, fixed in [('recency', var('rfm_recency_days')), ('frequency', var('rfm_frequency')), ('monetary', var('rfm_monetary'))] %}
    {%- set ends = [] %}
    {%- for limit in fixed %}
        {%- do ends.append('coalesce(c.' ~ measure ~ '_' ~ loop.index ~ ', ' ~ limit ~ ')' if stored else limit) %}
    {%- endfor %}
    {%- do limits.update({measure: ends}) %}
{%- endfor %}

WITH totals AS (
    SELECT
        canonical_id,
        count(*) AS frequency,
        sum(amount) AS monetary,
        max(ordered_at) AS last_order_at
    FROM {{ ref(orders_model()) }}
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
{%- if stored %}

cut_points AS (
    SELECT
        {%- for measure in ['recency', 'frequency', 'monetary'] %}
        {%- set last_measure = loop.last %}
        {%- for class in range(1, 5) %}
        max(upper_end_{{ class }}) FILTER (WHERE measure = '{{ measure }}') AS {{ measure }}_{{ class }}{{ "," if not (loop.last and last_measure) }}
        {%- endfor %}
        {%- endfor %}
    FROM {{ ref(stored) }}
),
{%- endif %}

scored AS (
    SELECT
        canonical_id,
        last_order_at,
        recency_days,
        frequency,
        monetary,
        {{ score('recency_days', limits.recency, highest_first=true) }} AS recency_score,
        {{ score('frequency', limits.frequency) }} AS frequency_score,
        {{ score('monetary', limits.monetary) }} AS monetary_score
    FROM measured
    {%- if stored %}
    CROSS JOIN cut_points AS c
    {%- endif %}
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
