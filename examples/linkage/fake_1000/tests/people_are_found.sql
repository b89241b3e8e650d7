-- Splink's documented model reaches 0.916 on the same records.
select * from {{ ref('quality') }} where f1 < 0.93 or records <> 1000
