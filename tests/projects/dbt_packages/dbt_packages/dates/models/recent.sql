select id, {{ var('days') }} as days, '{{ var("dates:unit") }}' as unit
from {{ var('orders') }}
where id <= {{ var('days') }}
