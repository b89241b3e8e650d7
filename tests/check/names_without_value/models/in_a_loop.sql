{% for day in days %}
SELECT {{ day }} AS day
{% endfor %}
SELECT 0 AS day
