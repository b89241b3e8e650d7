{% macro last_days(days) %}
    placed_at > current_date - {{ days }}
{% endmacro %}
