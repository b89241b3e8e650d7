{% macro nested(column) %}coalesce({{ nested(column) }}, 0){% endmacro %}
