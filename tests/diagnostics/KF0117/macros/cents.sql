{% macro cents(column) %}
    ({{ column }} / 100.0)
