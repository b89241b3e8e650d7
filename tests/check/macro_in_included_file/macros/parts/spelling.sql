{% macro spell(column) -%}
    lower({{ column }}) ||
    surname
{%- endmacro %}
{{ spell(column) }}
