{#- Quintiles of recency, frequency and monetary value at the last `rfm_anchor` (`month`, `quarter` or `year`)
    that the clock passed: limits of scores that stay where they are until the next one. A limit is a value that
    somebody had, the smallest one that so many people do not exceed. -#}
{%- set wanted = has_orders() and var('rfm_anchor') is not none %}
{{ config(materialized='table', enabled=wanted) }}
{%- if wanted %}

WITH anchor AS (
    SELECT {{ utc("date_trunc('" ~ var('rfm_anchor') ~ "', " ~ as_of() ~ ")") }} AS anchored_at
),

people AS (
    SELECT
        o.canonical_id,
        min(a.anchored_at) AS anchored_at,
        max(o.ordered_at) AS last_order_at,
        count(*) AS frequency,
        sum(o.amount) AS monetary
    FROM {{ ref(orders_model()) }} AS o
    INNER JOIN anchor AS a ON o.ordered_at < a.anchored_at
    GROUP BY o.canonical_id
),

measures AS (
    SELECT anchored_at, 'recency' AS measure, CAST({{ days_between('last_order_at', 'anchored_at') }} AS DECIMAL(18, 2)) AS value
    FROM people
    UNION ALL
    SELECT anchored_at, 'frequency' AS measure, CAST(frequency AS DECIMAL(18, 2)) AS value
    FROM people
    UNION ALL
    SELECT anchored_at, 'monetary' AS measure, CAST(monetary AS DECIMAL(18, 2)) AS value
    FROM people
),

counted AS (
    SELECT
        anchored_at,
        measure,
        value,
        count(*) AS people
    FROM measures
    GROUP BY anchored_at, measure, value
),

heaped AS (
    SELECT
        anchored_at,
        measure,
        value,
        sum(people) OVER (
            PARTITION BY measure ORDER BY value ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS people_until,
        sum(people) OVER (PARTITION BY measure) AS people
    FROM counted
)

SELECT
    anchored_at,
    measure,
    {%- for class in range(1, 5) %}
    min(value) FILTER (WHERE 5 * people_until >= {{ class }} * people) AS upper_end_{{ class }},
    {%- endfor %}
    max(people) AS people
FROM heaped
GROUP BY anchored_at, measure
{%- endif %}
