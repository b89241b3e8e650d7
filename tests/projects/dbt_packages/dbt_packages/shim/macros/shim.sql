{% macro default__concat(fields) %}'shim ' || {{ fields | join(' || ') }}{% endmacro %}
