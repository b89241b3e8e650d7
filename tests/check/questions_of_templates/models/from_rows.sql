select {% for kind in values_of(ref('known'), 'kind') %}'{{ kind }}' as is_{{ kind }}, {% endfor %} 1 as one
