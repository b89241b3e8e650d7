SELECT 1 AS one
{% if true %}
WHERE true
