{#- The project stands in front of the package: see `dispatch` in the project file. -#}
{% macro default__flavour() %}project{% endmacro %}
{% macro inner() %}project{% endmacro %}
