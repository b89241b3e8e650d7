{% macro nested(column) %}coalesce({{ column }}, 0){% endmacro %}
