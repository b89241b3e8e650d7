{#- Aggregates of a group of rows. All orders are total: name in `tie` what tells rows of one time apart. -#}

{#- The value that is not null of the latest row. -#}
{% macro newest(column, at, tie) -%}
first_value({{ column }} ORDER BY {{ at }} DESC NULLS LAST, {{ tie }}) FILTER (WHERE {{ column }} IS NOT NULL)
{%- endmacro %}

{#- 1 to 5: the class of a number by four upper ends. With `highest_first`, the smallest number is in class 5. -#}
{% macro score(expression, upper_ends, highest_first=false) -%}
CASE
    {%- for upper_end in upper_ends %}
    WHEN {{ expression }} <= {{ upper_end }} THEN {{ upper_ends | length + 2 - loop.index if highest_first else loop.index }}
    {%- endfor %}
    ELSE {{ 1 if highest_first else upper_ends | length + 1 }}
END
{%- endmacro %}

{#- Whether a person allowed a purpose. Unknown is no. -#}
{% macro consented(purpose) -%}
coalesce(consent_{{ purpose }}, false)
{%- endmacro %}

{#- The model with one row per order: that of the variable, or what the sources of events know. -#}
{% macro orders_model() -%}
{{ return(var('orders_model', none) or ('person_orders' if has_events() else none)) }}
{%- endmacro %}

{% macro has_orders() -%}
{{ return(orders_model() is not none) }}
{%- endmacro %}
