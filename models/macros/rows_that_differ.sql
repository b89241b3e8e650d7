{#- A query with the rows that one of two relations has more often than the other, and how much more often; with
    equal columns in equal order. For tests that compare a model with what it has to be. -#}
{% macro rows_that_differ(expected, found) -%}
SELECT
    * EXCLUDE (surplus),
    sum(surplus) AS surplus
FROM (
    SELECT *, -1 AS surplus FROM {{ expected }}
    UNION ALL
    SELECT *, 1 AS surplus FROM {{ found }}
) AS compared
GROUP BY ALL
HAVING sum(surplus) <> 0
{%- endmacro %}
