# docker build -t interplay . && docker run --rm -v "$PWD/runs:/home/interplay/runs" interplay train --preset kale
FROM python:3.12-slim
WORKDIR /opt/interplay
COPY . .
RUN pip install --no-cache-dir -c constraints.txt '.[fast]'
RUN useradd --create-home interplay
USER interplay
WORKDIR /home/interplay
ENTRYPOINT ["interplay"]
CMD ["--help"]
