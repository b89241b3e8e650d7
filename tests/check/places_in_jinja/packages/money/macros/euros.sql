{% macro euros(column) %}
    round({{ column }} / 100.0, digitss)
{% endmacro %}
